"""Files as people save them in many languages and encodings: real names and places, drawn by a seed."""

import random
import unicodedata
from dataclasses import dataclass
from typing import Final

ROW_COUNTS: Final = (1, 2, 3, 5, 10, 50)


def file_of(cells: list[str]) -> str:
    """A file with a row for each cell, or for several with commas between them."""
    return "".join(f"http://host/{n}.jpg,{cell}\r\n" for n, cell in enumerate(cells, 1))


@dataclass(frozen=True, slots=True)
class Language:
    """What people of one language write.

    Attributes:
        encodings: the ones their programs save CSV files in.
        names: separated by commas, as are the descriptions.
    """

    name: str
    encodings: tuple[str, ...]
    names: str
    descriptions: str

    def text(self, rows: int, seed: int) -> str:
        """A file of some rows; one of them at least has more than ASCII."""
        chance = random.Random(f"{self.name} {seed}")  # noqa: S311 - must be repeatable
        names, descriptions = self.names.split(","), self.descriptions.split(",")
        cells = [f"{chance.choice(names)},{chance.choice(['', *descriptions])}" for _ in range(rows)]
        if "".join(cells).isascii():
            cells[-1] = chance.choice([name for name in names if not name.isascii()])
        return file_of(cells)


def _with_separate_tones(text: str) -> str:
    """Vietnamese as Windows-1258 has it: tones are characters of their own."""
    marks = [unicodedata.normalize("NFD", letter) for letter in text]
    return "".join(
        unicodedata.normalize("NFC", "".join(mark for mark in letter if mark not in _TONES))
        + "".join(mark for mark in letter if mark in _TONES)
        for letter in marks
    )


_TONES = "\u0300\u0301\u0303\u0309\u0323"


RECOGNISED: Final = (
    Language(
        "German",
        ("cp1252",),
        "Jürgen Müller,Hans Böhm,Jörg Schäfer,Günther Weiß,Käthe Krüger,Björn Großmann,Anna Köhler,Uwe Schröder,"
        "Ömer Öztürk,Ulrike Kühn,Sören Jäger,Bärbel Schütz,Heike Voß,Jörn Strauß,Änne Möller,Thomas Schmidt,"
        "Michael Weber,Rüdiger Vögele,Annegret Häußler,Mechthild Gößmann",
        "Geschäftsführer,Köln,München,Düsseldorf,Würzburg,Nürnberg,Empfang,Büro,Berlin,Straße 5,Gästehaus,Fürth,"
        "Außendienst,Lübeck,Prüfer,Osnabrück,Führungskraft,Göttingen",
    ),
    Language(
        "French",
        ("cp1252",),
        "François Lefèvre,Hélène Dupré,André Béranger,Zoé Gérard,Jérôme Fournier,Aurélie Mercier,Noël Château,"
        "Benoît Lemaître,Gaël Hervé,Anaïs Rousseau,Chloé Bénard,Raphaël Côté,Céline Desprès,Loïc Le Goff,"
        "Frédéric Guérin,Thérèse Gagné,Clémence Bœuf,Élodie Moreau,Pierre Martin,Joëlle Lévêque",
        "Besançon,Orléans,directeur général,Saint-Étienne,Nîmes,Genève,Montréal,accueil,Québec,employé,Angoulême,"
        "stagiaire,Fos-sur-Mer,Compiègne,ingénieur,Sète,hôtesse,Paris,Mâcon,maître d’œuvre",
    ),
    Language(
        "Spanish",
        ("cp1252",),
        "José Muñoz,María Núñez,Iñigo Ibáñez,Jesús Peña,Begoña Gómez,Óscar Martínez,Sofía Pérez,Íñigo Errejón,"
        "Ángel López,Raúl Jiménez,Mónica Ordóñez,Andrés García,Inés Castaño,Belén Güell,Ramón Ñáñez,Ana Ruiz,"
        "Joaquín Yáñez,Lucía Bermúdez,César Argüelles,Álvaro Quiñones",
        "Málaga,Córdoba,A Coruña,León,Bogotá,México,Cádiz,Logroño,dirección,recepción,Madrid,técnico,España,"
        "administración,Güímar,Perú,Medellín,Alcorcón,compañía,sección 3",
    ),
    Language(
        "Portuguese",
        ("cp1252",),
        "João Conceição,António Simões,Luís Magalhães,Inês Araújo,Conceição Falcão,Sérgio Gonçalves,Mário Guimarães,"
        "Patrícia Assunção,Estêvão Brandão,Cláudia Antão,Vitória Lourenço,Fábio Leitão,Márcia Brás,Átila Mourão,"
        "Ângela Vilaça,Antônio Carlos,Rui Costa,Mônica Galvão,Íris Leão,Romão Canção",
        "São Paulo,Maranhão,Brasília,Goiânia,Évora,Portimão,recepção,técnico,Setúbal,Belém,gestão,Florianópolis,"
        "Lisboa,Ribeirão Preto,Piauí,Açores,Administração,Guimarães,Niterói,avô",
    ),
    Language(
        "Swedish",
        ("cp1252",),
        "Åsa Sjöberg,Björn Öberg,Göran Lindström,Märta Nyström,Östen Åkerlund,Håkan Bergström,Pär Strömberg,Anna Dahl,"
        "Mårten Sjögren,Agnetha Fältskog,Jönsson Gösta,André Löfgren,Görel Hallén,Lars Åberg,Kjell Höglund,"
        "Jörgen Ståhl,Linnéa Ekström,Åke Lindén",
        "Malmö,Göteborg,Västerås,Örebro,Umeå,Jönköping,Luleå,försäljning,Växjö,Linköping,chef,Skellefteå,Norrköping,"
        "löneavdelning,Stockholm,Borås,Gävle,Södertälje",
    ),
    Language(
        "Norwegian",
        ("cp1252",),
        "Bjørn Østby,Øystein Håland,Kåre Grønn,Jørgen Sørli,Åse Brøvig,Søren Ødegård,Pål Strøm,Håkon Bråten,"
        "Gro Bøe,Torbjørn Næss,Mæland Knut,Ragnhild Vågen,Ole Hansen,Åshild Bjørge,Trygve Lindås,Røe Marte",
        "Tromsø,Ålesund,Bodø,Drøbak,Bærum,Hønefoss,Ås,Mo i Rana,Færder,Lillestrøm,avdeling sør,Oslo,regnskapsfører,"
        "Røros,Stjørdal,Førde",
    ),
    Language(
        "Danish",
        ("cp1252",),
        "Søren Kjær,Jørgen Møller,Ærø Bådsmand,Åge Nørgaard,Karen Blixen,Bjørn Sørensen,Mærsk Jens,Gråbøl Ole,"
        "Tøger Bæk,Lærke Højgaard,Rødding Åse,Kirsten Søgård,Pia Kjærsgaard,Bent Fabricius,Gøsta Lundgård,"
        "Rasmussen Løkke",
        "København,Aalborg,Århus,Ringkøbing,Næstved,Hillerød,Sønderborg,Tårnby,afdelingsleder,Køge,Helsingør,Odense,"
        "Frederikshavn,Ærøskøbing,Rønne,Læsø",
    ),
    Language(
        "Finnish",
        ("cp1252",),
        "Väinö Hämäläinen,Päivi Räsänen,Jyrki Mäkelä,Säde Lähteenmäki,Kyösti Mäkinen,Hyvönen Aino,Matti Virtanen,"
        "Löytty Pentti,Yrjö Häkkinen,Tähti Pöysti,Jari Pöntinen,Åke Wikström",
        "Jyväskylä,Hämeenlinna,Helsinki,Pyhäjärvi,Mäntsälä,Äänekoski,myyjä,Seinäjoki,Järvenpää,Töölö,tekijä,Turku",
    ),
    Language(
        "Italian",
        ("cp1252",),
        "Niccolò Fabbri,Nicolò Zanò,Giosuè Rossi,Cantù Maria,Mosè Fardà,Noè Bordò,Desirè Salò,Calogero Macrì,Zoè Marù,"
        "Paolo Forlì,Giovanni Cicalò,Rosà Carla,Mario Bianchi,Andrea D’Amò",
        "Forlì,Cefalù,qualità,città,Cantù,Nardò,attività,unità 3,Mondovì,Patti,Agliè,Roma,Lunedì,contabilità,"
        "Aprigliano,"
        "Viggiù,società,Erchiè",
    ),
    Language(
        "Dutch",
        ("cp1252",),
        "Daniël de Vries,Zoë Jansen,Loïs Bakker,Renée van Dijk,Michaël Smit,Chloë Visser,Noël Hendriks,Raphaël Mulder,"
        "Désirée Bos,Joëlle Kok,Pieter de Groot,André Hermans,Maïté Peeters,Gaëlle Maes,Boudewijn Büch,Efraïm Schölte",
        "coördinator,België,financiën,Curaçao,reünie,geïnteresseerd,Italië,cliënten,Utrecht,hygiëne,patiëntenzorg,"
        "zoölogie,Amsterdam,café,privé,Oostzaan",
    ),
    Language(
        "Simplified Chinese",
        ("gbk", "gb18030"),
        "张伟,王芳,李娜,刘洋,陈静,杨帆,黄晓明,赵丽颖,吴磊,周杰,徐静蕾,孙丽,马化腾,朱婷,胡歌,林志玲,郭靖,何炅,高圆圆,"
        "罗永浩,郑爽,"
        "梁朝伟,谢霆锋,宋佳,唐嫣,许晴,韩雪,冯小刚,邓超,曹操,彭于晏,曾志伟,萧敬腾,田亮,董卿,潘粤明,袁泉,蔡国庆,蒋欣,"
        "余华,于谦,"
        "杜江,叶问,程潇,魏晨,苏有朋,吕良伟,丁磊,沈腾,任贤齐,姚明,卢靖姗,傅艺伟,钟汉良,姜文,崔健,谭咏麟,廖凡,范冰冰,"
        "汪涵,陆毅,"
        "金晨,石凯,戴军,贾玲,韦小宝,夏雨,邱淑贞,方文山,侯佩岑,邹市明,熊黛林,孟非,秦海璐,白百何,江疏影,阎维文,薛之谦,"
        "尹正,段奕宏",
        "男,女,北京,上海市浦东新区,广州分公司,技术部,财务部,前台,保安,访客,一号楼,经理,研发中心,销售总监,深圳,黑名单,"
        "员工,三年级二班,"
        "杭州市西湖区,人力资源,照片模糊,戴眼镜,学生,教师,司机",
    ),
    Language(
        "Traditional Chinese",
        ("big5", "cp950"),
        "陳俊傑,林美玲,黃志明,張雅婷,李建宏,王淑芬,吳宗憲,劉德華,蔡依林,楊丞琳,許瑋甯,鄭秀文,謝金燕,郭富城,洪金寶,"
        "邱澤,曾國城,"
        "廖文強,賴清德,徐若瑄,周杰倫,葉德嫻,蘇打綠,莊凱勛,呂秀蓮,江蕙,何潤東,蕭敬騰,羅志祥,高以翔,潘瑋柏,簡嫚書,"
        "朱立倫,鍾欣潼,"
        "彭佳慧,游鴻明,詹雅雯,胡宇威,施明德,沈玉琳,余文樂,盧廣仲,梁靜茹,趙又廷,顏清標,柯文哲,翁立友,魏如萱,孫燕姿,"
        "戴佩妮",
        "男,女,臺北市,高雄,新竹科學園區,業務部,總經理,櫃檯,訪客,工程師,桃園廠,人事處,會計,香港九龍,研發中心,警衛,"
        "臺中市西屯區,學生,"
        "三年二班,照片不清楚,黑名單",
    ),
    Language(
        "Japanese",
        ("cp932",),
        "佐藤健,鈴木一郎,高橋ケン,田中さくら,渡辺直美,伊藤美咲,山本太郎,中村ゆり,小林聡美,加藤あい,吉田羊,山田孝之,"
        "佐々木希,"
        "松本潤,井上真央,木村拓哉,林遣都,清水ミチコ,斎藤工,山口百恵,阿部寛,森山未來,池田エライザ,橋本環奈,石川さゆり,"
        "前田敦子,"
        "藤田ニコル,後藤真希,長谷川博己,村上春樹,近藤マサヒコ,坂本龍一,遠藤憲一,ｻﾄｳ ｹﾝ,ﾀﾅｶ ﾊﾅｺ,ｽｽﾞｷ ｲﾁﾛｳ,ﾏﾂﾓﾄ ﾀｸﾔ,"
        "ﾜﾀﾅﾍﾞ ﾅｵﾐ,"
        "ﾔﾏﾀﾞ ﾀﾛｳ,ﾖｼｵｶ ﾘｮｳ,ﾊﾞﾝﾊﾞ ﾋﾛﾌﾐ,ﾃﾞﾜ ｷｮｳｺ",
        "男性,女性,東京本社,営業部,開発課,受付,大阪支店,アルバイト,課長,総務部,来客,社員,エンジニア,横浜市,警備員,"
        "名古屋工場,部長,"
        "写真不鮮明,北海道,システム部,ﾊﾟｰﾄ,学生,メガネあり",
    ),
    Language(
        "Korean",
        ("euc_kr", "cp949"),
        "김철수,이영희,박지성,최민식,정우성,강동원,조인성,윤아,장동건,임수정,한지민,오세훈,서태지,신민아,권상우,"
        "황정민,안성기,송강호,"
        "전지현,홍길동,유재석,고현정,문재인,양현석,손흥민,배용준,백종원,허준호,남궁민,심은하,노홍철,하지원,곽도원,"
        "성동일,차승원,주지훈,"
        "우도환,구혜선,나문희,진선규,지창욱,엄정화,채시라,원빈,방탄,공유,현빈,변요한,염정아,석지영",
        "남자,여자,서울,영업부,개발팀,경비,방문객,대리,부산지점,과장,인사팀,학생,직원,총무부,안내,사진 흐림,"
        "대전 연구소,사장,광주광역시,"
        "안경 착용,블랙리스트",
    ),
)

OTHERS: Final = (
    Language(
        "Czech",
        ("cp1250", "iso8859_2", "cp852"),
        "Jiří Dvořák,Petr Novotný,Lukáš Černý,Tomáš Kučera,Věra Procházková,Zdeněk Svěrák,Růžena Šťastná,Ondřej Říha,"
        "Jan Novák,Eva Horáková,Vlasta Čížková,Radek Kříž,Magdalena Vlčková,Bohuš Němec,Aneta Králová,František Žák,"
        "Libuše Šafránková,Václav Klaus,Markéta Irglová,Ivan Trojan",
        "Plzeň,Ústí nad Labem,Brno,vedoucí,účetní,Olomouc,České Budějovice,Třebíč,Děčín,recepční,Ostrava-město,údržba",
    ),
    Language(
        "Polish",
        ("cp1250", "iso8859_2"),
        "Łukasz Wójcik,Małgorzata Dąbrowska,Paweł Kamiński,Zofia Zielińska,Michał Woźniak,Grażyna Szymańska,"
        "Bożena Król,Sławomir Jabłoński,Jan Kowalski,Rafał Pawłowski,Władysław Gołąb,Agnieszka Mróz,Stanisław Nowak,"
        "Józef Górski,Święcicki Marek,Żaneta Kołodziej,Mirosław Bąk,Elżbieta Zając",
        "Łódź,Kraków,Gdańsk,Poznań,Częstochowa,księgowość,Rzeszów,kierownik,Wrocław,Białystok,ochrona,Świdnica",
    ),
    Language(
        "Hungarian",
        ("cp1250", "iso8859_2"),
        "Szabó László,Tóth Zoltán,Kovács Gergő,Kőszegi Dezső,Németh Ágnes,Erdős Pál,Győri Ilona,Szűcs Béla,Nagy Ferenc,"
        "Örkény István,Fűzfa Ödön,Márai Sándor,Bartók Béla,Petőfi Sándor,Füst Milán,Karácsony Benő,Vörös Ernő,"
        "Török Jenő",
        "Győr,Pécs,Szeged,Kőbánya,Budapest,Debrecen,könyvelő,Érd,vezető,Székesfehérvár,Tatabánya,Gödöllő",
    ),
    Language(
        "Romanian",
        ("cp1250", "iso8859_2"),
        "Ionuţ Popescu,Mihăilă Ana,Ştefan Constantinescu,Nicuţă Suciu,Răzvan Lucescu,Cătălin Măruţă,Ion Creangă,"
        "Anuţa Brânză,Florin Câţu,Gheorghiţă Pârvu,Sînziana Buşcă,Vlad Drăgulescu",
        "Braşov,Timişoara,Iaşi,Bucureşti,Piteşti,Cluj,Bacău,secretară,Târgu Mureş,Brăila",
    ),
    Language(
        "Croatian",
        ("cp1250",),
        "Ivana Šarić,Marko Đurić,Željko Knežević,Ante Kovačić,Goran Perišić,Luka Modrić,Mario Mandžukić,Ana Horvat,"
        "Krešimir Čačić,Dražen Petrović,Tomislav Blažević,Nikša Žunić",
        "Šibenik,Karlovac,Čakovec,Zagreb,Požega,Đakovo,voditelj,Poreč,Križevci,računovodstvo",
    ),
    Language(
        "Turkish",
        ("cp1254", "iso8859_9"),
        "Ayşe Yılmaz,Mehmet Öztürk,Gökhan Çelik,Şükrü Aydın,İbrahim Güneş,Fatma Doğan,Özgür Yıldırım,Tuğçe Kılıç,"
        "Ali Demir,Çağla Şimşek,Uğur Işık,Hülya Koçyiğit,Barış Manço,Müjde Ar,Ümit Beşen,Nâzım Hikmet,Sıla Gençoğlu,"
        "Güven Kaya",
        "İstanbul,Diyarbakır,İzmir,Eskişehir,muhasebe,Muğla,güvenlik,Şanlıurfa,Kütahya,müdür,Beşiktaş,Çankırı",
    ),
    Language(
        "Lithuanian",
        ("cp1257",),
        "Žydrūnas Ilgauskas,Rūta Meilutytė,Arvydas Sabonis,Ingeborga Dapkūnaitė,Česlovas Juršėnas,Gražina Šimkutė,"
        "Živilė Vaškytė,Jūratė Kazlauskaitė,Šarūnas Jasikevičius,Eglė Žąsytė",
        "Šiauliai,Panevėžys,Kėdainiai,Vilnius,Klaipėda,apsauga,Mažeikiai,vadovė",
    ),
    Language(
        "Russian",
        ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"),
        "Иван Петров,Анна Кузнецова,Сергей Иванов,Пётр Чайковский,Ольга Смирнова,Алексей Попов,Наталья Соколова,"
        "Юрий Гагарин,"
        "Фёдор Достоевский,Екатерина Щукина,Дмитрий Хворостовский,Марина Цветаева,Эльдар Рязанов,Ян Френкель,"
        "Игорь Яковлев",
        "Москва,Санкт-Петербург,бухгалтер,охрана,Нижний Новгород,директор,Екатеринбург,посетитель,Казань,"
        "отдел кадров,М,Ж",
    ),
    Language(
        "Ukrainian",
        ("cp1251", "koi8_u"),
        "Тарас Шевченко,Леся Українка,Ірина Білик,Олексій Коваль,Юлія Бондаренко,Андрій Їжакевич,Ганна Ткачук,"
        "Євген Мельник",
        "Київ,Львів,Чернігів,Запоріжжя,відділ,охоронець,Одеса,Кривий Ріг",
    ),
    Language(
        "Greek",
        ("cp1253", "iso8859_7"),
        "Γιώργος Παπαδόπουλος,Μαρία Ιωάννου,Νίκος Δημητρίου,Ελένη Παππά,Κώστας Γεωργίου,Χρήστος Αθανασίου,Ζωή Ξένου,"
        "Σοφία Βλάχου,Ψαρράς Φώτης,Άννα Οικονόμου",
        "Αθήνα,Θεσσαλονίκη,Πάτρα,λογιστής,Ηράκλειο,φύλακας,Λάρισα,επισκέπτης",
    ),
    Language(
        "Vietnamese",
        ("cp1258",),
        _with_separate_tones(
            "Nguyễn Văn An,Trần Thị Bích,Lê Quốc Đạt,Phạm Hồng Sơn,Hoàng Thùy Linh,Đặng Hữu Phước,Vũ Thế Anh,"
            "Bùi Xuân Trường,"
            "Đỗ Mỹ Tâm,Hồ Ngọc Hà,Ngô Bảo Châu,Dương Tú Anh"
        ),
        _with_separate_tones("Hà Nội,Đà Nẵng,Cần Thơ,kế toán,bảo vệ,Huế,Hải Phòng,lễ tân"),
    ),
    Language(
        "Hebrew",
        ("cp1255", "iso8859_8"),
        "דוד כהן,שרה לוי,משה מזרחי,רחל פרץ,יוסף ביטון,אסתר דהן,אברהם אברהם,חיה פרידמן,צבי גולן,נעמי שמש",
        "תל אביב,ירושלים,חיפה,מנהל,קבלה,באר שבע,שומר,אורח",
    ),
    Language(
        "Arabic",
        ("cp1256", "iso8859_6"),
        "محمد علي,فاطمة حسن,أحمد إبراهيم,خديجة عمر,يوسف خالد,عائشة سعيد,عبد الله ناصر,زينب طاهر,ليلى منصور,حسين جابر",
        "القاهرة,الرياض,دبي,مدير,محاسب,بغداد,زائر,حارس",
    ),
    Language(
        "Thai",
        ("cp874", "tis_620"),
        "สมชาย ใจดี,สมหญิง รักไทย,ประยุทธ์ จันทร์,นภา ศรีสุข,วิชัย ทองคำ,มานี มีนา,อนุชา พรหม,กนกวรรณ แสงดาว,ชัยวัฒน์ บุญมี,สุดา น้อย",
        "กรุงเทพ,เชียงใหม่,พนักงาน,ผู้จัดการ,ภูเก็ต,ชาย,หญิง,ฝ่ายบัญชี",
    ),
)
